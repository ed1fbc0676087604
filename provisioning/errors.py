"""What can go wrong in provisioning, each in a sentence that says where, what was found and what to do."""


class ProvisioningError(Exception):
    """It could not be done."""


class BadRequestError(ProvisioningError):
    """What was given is not acceptable: a request, a name, a directory that is not an authority's."""
