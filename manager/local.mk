# manager: what the operator types; aimdump lives in a folder of its own.

# aim-manager

# aimdump
