"""The centre: ingest, storage, page and API. It must never import `appliance`."""
