"""Kinds of flows; one file and one line here for each.

A kind is a function ``(n_features, n_context, **options)`` that returns its transforms from data to
base, untrained and close to the identity. Its name is the name of the kind.
"""

from skad.nn._flow_kinds._cnf import cnf
from skad.nn._flow_kinds._flow_matching import flow_matching
from skad.nn._flow_kinds._maf import maf
from skad.nn._flow_kinds._nsf import nsf
from skad.nn._flow_kinds._nsf_coupling import nsf_coupling

__all__ = ["KINDS"]

KINDS = {kind.__name__: kind for kind in (maf, nsf, nsf_coupling, cnf, flow_matching)}
