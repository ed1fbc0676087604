"""The way in that is no broker: messages by POST, for devices that MQTT does not reach us from."""
