"""Services: what a customer has ordered, on which offer, from when to when.

`history` changes the terms of a service (pure), `register` keeps services, `provisioning` lets the
network know: it moves the service's subscriber to the plan of the offer that holds today.
"""
