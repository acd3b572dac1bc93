"""Steps: what maps data, and says what it does to the schema.

Begin with `clip`, the shortest; `field_binding` says which fields a step works on.

Steps that fit statistics do not belong here, see `aeros_transforms.steps.scaling`.
"""
