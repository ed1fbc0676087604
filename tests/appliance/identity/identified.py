"""An authority with one device that has its identity and one collector: real keys and certificates, made anew."""

import datetime as dt
from pathlib import Path

from appliance.identity.files import IdentityFiles
from appliance.identity.identity import DeviceIdentity
from collector.trust.signing import Signer
from provisioning.authority import Authority, write
from provisioning.certificates import Role, key_pem, make_key, make_request, pem

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
DEVICE = "abcd0123efgh4567"


class World:
    """An authority, one device that has its identity, one collector."""

    met: DeviceIdentity

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority"
        Authority.make(self.authority, name="Test", now=NOW)
        self.files = IdentityFiles(data=folder / "data")
        key = make_key()
        with Authority.open(self.authority) as authority:
            _, chain = authority.issue_device(make_request(DEVICE, key), now=NOW)
            collector = make_key()
            self.collector_chain = authority.issue(
                "collector", Role.COLLECTOR, collector.public_key(), now=NOW
            )
            self.root = pem(authority.root)
        self.files.folder.mkdir(parents=True)
        write(self.files.key, key_pem(key), mode=0o600)
        write(self.files.certificate, chain)
        write(self.files.trust, self.root)
        self.signer = Signer(key=collector, chain=self.collector_chain)

    def identity(self) -> DeviceIdentity:
        return DeviceIdentity.load(self.files, device=DEVICE)
