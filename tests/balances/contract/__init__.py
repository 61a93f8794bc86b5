"""What every store must do: the sentences of balances.port, one by one."""
