package record

// Emptied is the batch without its records: only its offsets, its producer and what kind it is. The cleaner leaves it of a
// batch whose producer may still write, for the sequence number.
func (b Batch) Emptied() Batch {
	e := make(Batch, HeaderSize)
	copy(e, b)
	e.put32(lengthAt, HeaderSize-LogOverhead)
	e.put16(attributesAt, b.Attributes()&^(AttrCodecMask|AttrDeleteHorizon))
	e.put64(baseTimestampAt, NoTimestamp)
	e.put32(numRecordsAt, 0)
	e.sum()
	return e
}

// Placeholder is an empty batch of nobody at the offsets of the batch, with its leader epoch and time: the cleaner ends a
// segment with one whose last batch is gone, so that the segment still tells how far it reaches.
func (b Batch) Placeholder() Batch {
	e := b[:HeaderSize].Emptied()
	e.put16(attributesAt, b.Attributes()&AttrLogAppendTime)
	e.put64(producerIDAt, NoProducerID)
	e.put16(producerEpochAt, NoProducerEpoch)
	e.put32(baseSequenceAt, NoSequence)
	e.sum()
	return e
}
