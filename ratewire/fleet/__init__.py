"""A simulated NAS fleet: real RADIUS over real sockets, on a network as bad as one likes.

`subscriber`, `accounting`, `obedience`, `nas` and `network` are pure (they take `now` and return
datagrams), `runner` owns the sockets and the clock, `summary` is what it tells. pyrad encodes what
a NAS sends and reads what it is told, which shares no code with our own decoder, so every run is a
cross-check as well.
"""
