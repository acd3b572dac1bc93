"""The policy file of a site: how it is read, and what it can say.

Begin with `policy`. `files` refuses files that others may write, `controllers` says who may ask,
`options` and `parts` say what of a task is the site's to decide.

Applying a policy to a message does not belong here, see `aeros_flower.site.rules`.
"""
