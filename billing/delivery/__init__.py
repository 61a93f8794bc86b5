"""Messages to customers, by e-mail.

`message` words them (pure), `outbox` queues one in the transaction that causes it, `sending` brings
it to an SMTP server, as a job of the scheduler, until it is taken or refused for good.
"""
