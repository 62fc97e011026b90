"""Images that are no files of their own: in object stores, tar shards and Parquet tables; no torch.

    s3://bucket/folder            every object below it, as of a local folder
    s3://bucket/image.jpg         one object
    shards/train-{000..255}.tar   members of WebDataset shards, streamed, never unpacked
    s3://bucket/*.parquet         rows of tables with a column of images
    clips/*.mp4                   frames of videos

Stores are pyarrow's file systems: `s3://`, `gs://`, `abfs://`, `file://`, with endpoint and
credentials from each store's usual variables. An archive has to be named as such, by itself or with
a pattern; inside a folder it is one more file. Rows are named `shard.tar!member`,
`table.parquet#row` and `clip.mp4#frame@seconds`, rows and frames from 0.

An archive file ends with `ARCHIVE = Archive(...)`, which says what endings it opens.
"""

from edge_ood.sources._archive import ARCHIVES, Archive, unreadable
from edge_ood.sources._image_sets import (
    ImageSource,
    image_source,
    labelled_images,
    labels_said,
    perhaps_labelled_images,
)
from edge_ood.sources._locations import (
    Location,
    is_stored,
    is_url,
    locations,
    place_in_store,
)
from edge_ood.sources._stored_images import StoredImages
from edge_ood.sources._transfers import (
    check_can_write,
    fetch,
    file_names,
    is_there,
    remove,
    remove_local,
    store,
)

__all__ = [
    "ARCHIVES",
    "Archive",
    "ImageSource",
    "Location",
    "StoredImages",
    "check_can_write",
    "fetch",
    "file_names",
    "image_source",
    "is_stored",
    "is_there",
    "is_url",
    "labelled_images",
    "labels_said",
    "locations",
    "perhaps_labelled_images",
    "place_in_store",
    "remove",
    "remove_local",
    "store",
    "unreadable",
]
