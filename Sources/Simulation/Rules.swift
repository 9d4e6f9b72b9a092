// The rules of the simulated shop: few, and of each way of waiting.

enum SimulatedRules {
  static let text = """
    version: 1
    tags:
      - name: new
        layer: value
        when: orders.days_since_first < 5
      - name: sleeping
        layer: value
        when: orders.days_since_last >= 7
      - name: busy
        layer: behaviour
        when: events.total(2d) >= 4
      - name: cart.abandoned
        layer: behaviour
        when: cart.items >= 1 and cart.age_hours >= 24
      - name: spender
        layer: value
        when: orders.revenue(30d) >= 500
        until: not (orders.revenue(30d) >= 300)
      - name: returns
        layer: behaviour
        when: refunds.count(30d) >= 1
      - name: recency
        layer: value
        cases: { a: orders.days_since_last < 3, b: orders.days_since_last < 12, c: orders.count(90d) >= 1 }

    """
}
