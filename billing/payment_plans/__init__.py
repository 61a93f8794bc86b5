"""Payment plans: a debt that is paid in instalments, each on its day.

`schedule` cuts a debt into instalments and says where a plan stands (pure).
"""
