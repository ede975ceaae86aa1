"""The public archives of the corpora."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A public archive: its address, the folder that it unpacks to, its sizes and its checksum.

    The content is checked against `sha256` or `tree`. GitHub packs an archive anew at every
    request, and guarantees the content but not the bytes.
    """

    url: str
    """Address of the archive."""
    folder: str
    """The folder that it unpacks to."""
    size: int
    """Bytes of the archive, for the check of free space."""
    unpacked: int
    """Bytes of the folder, for the check of free space."""
    into: str = "."
    """The folder to unpack into, if the archive itself has no top folder."""
    sha256: str | None = None
    """Checksum of the archive."""
    tree: str | None = None
    """The id that git gives to the folder."""

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.url.rpartition("/")[2]


def _libritts(subset: str, size: int, unpacked: int, sha256: str) -> Archive:
    return Archive(
        url=f"http://www.openslr.org/resources/60/{subset}.tar.gz",
        folder=f"LibriTTS/{subset}",
        size=size,
        unpacked=unpacked,
        sha256=sha256,
    )


_KATHLEEN = "c51cb971036a127359b43c621f26ca5081eab13e"
# Addresses and SHA-256 as torchaudio's dataset classes state them. Unpacked sizes of LibriTTS and
# VCTK are rounded up.
ARCHIVES: dict[str, list[Archive]] = {
    "ljspeech": [
        Archive(
            url="https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            folder="LJSpeech-1.1",
            size=2_748_572_632,
            unpacked=3_801_111_440,
            sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        )
    ],
    "libritts": [
        _libritts(
            "train-clean-100",
            7_723_686_890,
            9_700_000_000,
            "c5608bf1ef74bb621935382b8399c5cdd51cd3ee47cec51f00f885a64c6c7f6b",
        ),
        _libritts(
            "train-clean-360",
            27_504_073_644,
            34_000_000_000,
            "ce7cff44dcac46009d18379f37ef36551123a1dc4e5c8e4eb73ae57260de4886",
        ),
        _libritts(
            "train-other-500",
            44_565_031_479,
            55_000_000_000,
            "e35f7e34deeb2e2bdfe4403d88c8fdd5fbf64865cae41f027a185a6965f0a5df",
        ),
        _libritts(
            "dev-clean",
            1_291_469_655,
            1_700_000_000,
            "da0864e1bd26debed35da8a869dd5c04dfc27682921936de7cff9c8a254dbe1a",
        ),
        _libritts(
            "dev-other",
            924_804_676,
            1_200_000_000,
            "d413eda26f3a152ac7c9cf3658ef85504dfb1b625296e5fa83727f5186cca79c",
        ),
        _libritts(
            "test-clean",
            1_230_670_113,
            1_600_000_000,
            "234ea5b25859102a87024a4b9b86641f5b5aaaf1197335c95090cde04fe9a4f5",
        ),
        _libritts(
            "test-other",
            964_502_297,
            1_300_000_000,
            "33a5342094f3bba7ccc2e0500b9e72d558f72eb99328ac8debe1d9080402f10d",
        ),
    ],
    "vctk": [
        Archive(
            url="https://datashare.is.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
            folder="VCTK-Corpus-0.92",
            into="VCTK-Corpus-0.92",
            size=11_747_302_977,
            unpacked=12_500_000_000,
            sha256="f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
        )
    ],
    "kathleen": [
        Archive(
            url=f"https://github.com/rhasspy/dataset-voice-kathleen/archive/{_KATHLEEN}.tar.gz",
            folder=f"dataset-voice-kathleen-{_KATHLEEN}",
            size=475_520_381,
            unpacked=945_796_115,
            tree="7a3b9c012360d3ddb525aac97fd194dcfe4c0edc",
        )
    ],
}
