"""What the recorded sessions of a day would have cost by another tariff."""
