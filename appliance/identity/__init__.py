"""Who this device is: its key, its certificate, whom it trusts; signing what it says, renewing in time."""
