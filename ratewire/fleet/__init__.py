"""A simulated NAS fleet: real RADIUS over real sockets, on a network as bad as one likes.

`subscriber` and `nas` are pure (they take `now` and give datagrams), `network` loses, repeats and
delays, `runner` owns the sockets and the clock. pyrad encodes the datagrams, which shares no code
with our decoder, so every run is a cross-check as well.
"""
