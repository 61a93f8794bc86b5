"""Gateways that move money for us, what they tell us, and asking them again.

`happening` is what a gateway can tell, in our words; `stripe` speaks with Stripe; `inbox` keeps
what was told, once, and acts on it, once; `polling` asks about payments of which nothing was heard;
`topups` tops accounts up by themselves. No card's number comes here: it is entered at the gateway.
"""
