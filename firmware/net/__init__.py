"""The way to the network: the loop, the kernel's sockets and stamps, names, the host's view."""
