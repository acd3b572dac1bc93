"""This machine: processes, ports, memory, and the installed Flower.

Begin with `flower_internals`, the one module that imports private names of Flower, and `versions`.
`child_process` runs a program that ends with its parent.

Nothing about tasks, messages or executors belongs here.
"""
