/** A WebSocket as browsers have it, over what the mini program has instead. */

type Handler<E> = ((event: E) => void) | null

/** Only what the client of the gateway uses of a WebSocket. */
export class PhoneSocket {
  static readonly CONNECTING = 0
  static readonly OPEN = 1
  static readonly CLOSING = 2
  static readonly CLOSED = 3

  onopen: Handler<object> = null
  onmessage: Handler<{ data: unknown }> = null
  onclose: Handler<{ code: number; reason: string }> = null
  onerror: Handler<object> = null
  readyState = PhoneSocket.CONNECTING
  binaryType = 'arraybuffer'
  private readonly task: UniApp.SocketTask

  constructor(url: string, protocols?: string[]) {
    // With a callback given it returns the task at once.
    const options = { url, ...(protocols?.length ? { protocols } : {}), complete: () => undefined }
    this.task = uni.connectSocket(options) as unknown as UniApp.SocketTask
    this.task.onOpen(() => {
      this.readyState = PhoneSocket.OPEN
      this.onopen?.({})
    })
    this.task.onMessage(({ data }) => this.onmessage?.({ data }))
    this.task.onError((error) => this.onerror?.(error))
    this.task.onClose((result: { code?: number; reason?: string }) => {
      this.readyState = PhoneSocket.CLOSED
      this.onclose?.({ code: result.code ?? 1006, reason: result.reason ?? '' })
    })
  }

  /** Send a text. */
  send(data: string): void {
    this.task.send({ data })
  }

  /** Close; `onclose` follows. */
  close(code = 1000, reason = ''): void {
    this.readyState = PhoneSocket.CLOSING
    this.task.close({ code, reason })
  }
}
