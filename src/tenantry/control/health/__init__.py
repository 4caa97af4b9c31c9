"""What is wrong with a cluster, why, and what to do: pure rules over one frozen view, and the state that keeps warnings
from flapping. Gathering and telling are in `tenantry.control.health_view` and `tenantry.control.health_checks`."""
