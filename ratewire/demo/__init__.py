"""See it work: `make run`. Real servers, a simulated NAS fleet, money running out.

`stock` makes the customers, `payer` lets some of them pay again, `watch` looks at the running
system as an operator can, `screen` draws what it saw, `farewell` prints what is in the books in the
end, and `run` holds it together. Nothing here does any of the main job.
"""
