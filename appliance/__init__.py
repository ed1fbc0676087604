"""The device: measuring, outbox, delivery, health, lights. It must never import `collector`."""
