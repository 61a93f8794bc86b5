"""The NASes that may speak to us: `client` says what one is (pure), `register` keeps them."""
