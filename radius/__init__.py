"""The RADIUS side: datagrams to accounting records, and Disconnect/CoA exchanges with a NAS.

`engine` is the sans-IO whole of the accounting server and `listener` its asyncio edge; `dynauth` is
one sans-IO exchange with a NAS and `dynauth_client` its edge. Nothing here knows of money.
"""
