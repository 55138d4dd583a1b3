"""The operating system: cores, network interfaces, processes."""
