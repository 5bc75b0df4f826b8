"""Where the deployment breaks first as streams grow: a simulation, second by second, against AWS's quotas."""
