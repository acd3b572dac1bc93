"""Tasks on real machines: ``controller=flower``, and ``aeros up``, ``executor``, ``down``."""

__all__: list[str] = []
