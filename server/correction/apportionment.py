"""How many images each client's local model contributes to the auxiliary set."""

from collections.abc import Mapping

from fedphd.common.errors import FedPhDError


def apportion(total: int, samples: Mapping[str, int]) -> dict[str, int]:
    """Share out `total` in proportion to the clients' sample counts n_k, by largest remainders.

    FedDDPM combines the local models' images according to the sizes of the clients' data sets, so that the set
    approximates the global distribution (abstract). How it rounds is not known.

    Parameters
    ----------
    total : int
        What to share out.
    samples : Mapping[str, int]
        n_k of each client.

    Returns
    -------
    dict[str, int]
        Each client's share, in the clients' order; they sum to `total`. Of equal remainders the earlier
        client's is rounded up.

    Raises
    ------
    FedPhDError
        If no client has an image.
    """
    everything = sum(samples.values())
    if everything == 0:
        raise FedPhDError("no client told of an image, so the auxiliary set cannot be shared out among them")
    quotas = {client: divmod(total * own, everything) for client, own in samples.items()}
    shares = {client: quota for client, (quota, _) in quotas.items()}
    by_remainder = sorted(quotas, key=lambda client: quotas[client][1], reverse=True)  # stable: earlier ones first
    for client in by_remainder[: total - sum(shares.values())]:
        shares[client] += 1
    return shares
