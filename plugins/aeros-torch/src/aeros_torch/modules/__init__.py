"""torch modules: models, losses, and how a module is built and placed.

Begin with `models` and `builder`, which builds a model for a schema. `flat_module` lays all
tensors of a module into flat vectors, the form in which parameters travel.

Training does not belong here, see `aeros_torch.training`.
"""
