import { type Consumer, type DisconnectInfo, groupsConsumer } from 'groupcast'

/** A consumer that counts the lives of its connections. */
export interface TrackingConsumer extends Consumer {
  /** Connections whose `connect` began. */
  began: number
  /** What each `disconnect` was told, in order. */
  readonly ended: DisconnectInfo[]
  /** Texts of the messages that came, in order, of all connections. */
  readonly received: string[]
}

/** Joins the groups of the query, echoes what clients send, and keeps the books. */
export function trackingConsumer(): TrackingConsumer {
  const groups = groupsConsumer()
  const consumer: TrackingConsumer = {
    began: 0,
    ended: [],
    received: [],
    connect(connection) {
      consumer.began++
      return groups.connect?.(connection)
    },
    receive(connection, message) {
      consumer.received.push(JSON.stringify(message))
      connection.send(message)
    },
    authorize: (connection, action, group) => groups.authorize?.(connection, action, group) ?? false,
    disconnect(_connection, info) {
      consumer.ended.push(info)
    },
  }
  return consumer
}
