"""χ² along one or two parameters: intervals and areas that do not depend on a grid."""
