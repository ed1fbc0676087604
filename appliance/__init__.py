"""The device: schedule, outbox, sync, health, lights. It must never import `collector`."""
