"""Arrays on the host and on a device, and memory for results.

Begin with `host`. `on_device` works on a GPU through torch, `buffer_pool` lends memory for
results, `parallel` spreads a kernel over threads.

Statistics of updates do not belong here, see `aeros_aggregators.reduction`.
"""
