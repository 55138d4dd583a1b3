"""Arrow columns from Python values and back, and row selection, without importing pandas.

In pyarrow 10, `pa.array`, `pa.scalar`, `pa.repeat`, `Array.to_numpy`, `Table.take` and passing a
NumPy array or a Python number to a compute function all import pandas if it is installed, often
only to check whether the argument is a Series. The import takes 0.15 s (from a warm page cache) to
0.8 s in the driver and in each Spark worker, which is noticeable in a job of a few seconds. This
module therefore builds arrays from buffers, whose offsets and values it checks, and calls only
those functions of `pyarrow.compute` that do not import pandas. (`pyarrow.lib.StringBuilder` imports
none either, but is private and takes twice the time.)

Millions of images are kept as columns. As Python objects they would take ten times the memory, so
code that needs Python objects gets them in slices.

An array of type `string` or `binary` holds less than 2 GiB, as its offsets are signed 32-bit
numbers; 22 million keys of 100 bytes are more. A column may hold any amount in several arrays, but
in pyarrow 10 `pc.take` concatenates them, does not check the offsets of its result, which then wrap
around, and look-ups keep all values in one hash table with 32-bit offsets. `take_rows`, `is_in`,
`index_in`, `dictionary_codes` and `widen` work for columns of any size.
"""

from halftone.arrow.arrays import (
    MAX_ARRAY_BYTES,
    binary_array,
    chunked_string_array,
    empty_table,
    make_array,
    number_array,
    repeat_value,
    string_array,
)
from halftone.arrow.columns import (
    Column,
    concat_columns,
    concat_tables,
    conform,
    iter_rows,
    iter_slices,
    offsets_and_data,
    to_numpy,
    update_digest,
    view_images,
)
from halftone.arrow.rows import (
    dictionary_codes,
    filter_rows,
    index_in,
    is_in,
    iter_runs,
    take_rows,
    widen,
)

__all__ = [
    "MAX_ARRAY_BYTES",
    "Column",
    "binary_array",
    "chunked_string_array",
    "concat_columns",
    "concat_tables",
    "conform",
    "dictionary_codes",
    "empty_table",
    "filter_rows",
    "index_in",
    "is_in",
    "iter_rows",
    "iter_runs",
    "iter_slices",
    "make_array",
    "number_array",
    "offsets_and_data",
    "repeat_value",
    "string_array",
    "take_rows",
    "to_numpy",
    "update_digest",
    "view_images",
    "widen",
]
