import numpy as np
import numpy.typing as npt

INTERFACE: int

# blend
def fit_blend(
    targets: npt.NDArray[np.float64],
    dictionary: npt.NDArray[np.float64],
    tolerance: float,
    limit: int,
    threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
