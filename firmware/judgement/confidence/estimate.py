"""From counts to a number: how likely what a rule says is so, partly pooled with the other rules of its class. Pure.

A trial is a country: n countries in which the rule spoke, in f of which it spoke falsely at least once. Rules of a class
share a Beta prior on the share that is false (empirical Bayes). Its mean is an estimate over all of the class,
m = (Σf + m₀·k₀) / (Σn + k₀), from what is taken before any country was played: m₀, as of k₀ countries (Jeffreys: ½, of 1); Σn is
never more than the countries that there were, since rules that speak in one country are no independent trials. Its
strength k, the countries that it counts for, is the one of `STRENGTHS` under which the counts are likeliest (beta-binomial);
where nothing of a class was ever false nothing tells its rules apart, and k is the largest. A rule's number is the
posterior mean, 1 - (m·k + f) / (k + n); with n = 0 it is 1 - m.

Gelman, Carlin, Stern, Dunson, Vehtari, Rubin, Bayesian Data Analysis, 3rd ed., 2.4, 5.1 and 5.3; Jeffreys, Theory of
Probability, 3rd ed., 3.1. This file must never know what a rule is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import lgamma
from typing import Final

STRENGTHS: Final = tuple(2.0**power for power in range(10))
"""How many countries a prior may count for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """In how many countries something was said, and in how many of them falsely."""

    countries: int
    false: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known of a rule of a class before it has spoken: the share that is false, and as of how many countries."""

    mean: float
    strength: float


JEFFREYS: Final = Prior(mean=0.5, strength=1)
"""What is taken where nothing is known."""


def prior_of(counts: Iterable[Count], before: Prior = JEFFREYS, *, countries: int) -> Prior:
    """Return the prior of a class from the counts of its rules in so many countries, and from what is taken before any of them."""
    known = [one for one in counts if one.countries]
    false = sum(one.false for one in known)
    tried = min(countries, sum(one.countries for one in known))
    mean = (false + before.mean * before.strength) / (tried + before.strength)
    if not false:
        return Prior(mean=mean, strength=STRENGTHS[-1])
    return Prior(mean=mean, strength=max(STRENGTHS, key=lambda strength: _likelihood(known, mean, strength)))


def probability(prior: Prior, count: Count) -> float:
    """Return how likely what a rule says is so: above 0 and below 1."""
    false = (prior.mean * prior.strength + count.false) / (prior.strength + count.countries)
    return 1.0 - false


def _likelihood(counts: Iterable[Count], mean: float, strength: float) -> float:
    """Return the logarithm of how likely the counts are, but for a constant."""
    false, so = mean * strength, (1 - mean) * strength
    return sum(
        _log_beta(false + one.false, so + one.countries - one.false) - _log_beta(false, so) for one in counts
    )


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)
