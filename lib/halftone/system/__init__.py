"""The machine below: cores, network interfaces, processes."""
