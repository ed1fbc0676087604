"""What is said on the wire, DNS, TLS, HTTP and NTP: pure where it can be, over `firmware.net.access` where not."""
