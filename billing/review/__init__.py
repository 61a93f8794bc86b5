"""What staff look at: records that could not be rated, anomalies, parked entries, enforcement."""
