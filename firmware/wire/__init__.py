"""What crosses a network or a USB drive: messages, their envelope, bundles, the trust list. Pure; knows no transport."""
