"""The measuring core: probes, the record of a measurement, the ladder, the verdict.

Pure Python, no compiled extension; it knows nothing of storage, MQTT or pins, and must never import
`appliance` or `collector`.
"""

__version__ = "0.1.0"
