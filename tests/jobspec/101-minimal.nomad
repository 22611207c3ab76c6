job "m" {
}
