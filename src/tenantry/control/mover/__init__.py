"""Moves tenants online. `machine` decides, the others act: one idea a file.

``service`` (one level up) finds moves to run; `runner` takes one through its phases; `barrier` waits for routers;
`applier` applies the write log; `copier` copies; `verifier` compares; `side` is one side's backend under the lease.
"""
