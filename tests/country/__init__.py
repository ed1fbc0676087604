"""A country in virtual time: networks, censors, devices and a collector, without a socket, reproducible from a seed."""
