"""Sessions that have to end: Disconnect-Requests, until a Stop or silence proves them gone."""
