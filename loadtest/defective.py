"""Launches `exam serve` or `exam worker` with a defect planted; `python -m loadtest.defective NAME 1 serve …`."""

import sys

from exam.cli import main
from loadtest.defects import plant

if __name__ == "__main__":
    plant(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["exam", *sys.argv[3:]]
    main()
