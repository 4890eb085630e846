package main

// A gRPC method that echoes messages both ways, by hand: the frames are few, and the library is large.

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
)

func echoCalls(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		http.Error(w, "this is for gRPC", http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	flusher.Flush()
	for {
		var header [5]byte // whether it is compressed, and its length
		if _, err := io.ReadFull(r.Body, header[:]); err == io.EOF {
			w.Header().Set("Grpc-Status", "0")
			return
		} else if err != nil {
			return
		}
		length := binary.BigEndian.Uint32(header[1:])
		if length > longestMessage {
			w.Header().Set("Grpc-Status", "8") // RESOURCE_EXHAUSTED
			return
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(r.Body, message); err != nil {
			return
		}
		w.Write(append(header[:], message...))
		flusher.Flush()
	}
}
